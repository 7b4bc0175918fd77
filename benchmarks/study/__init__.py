"""The study of docs/study.md: minima of CIFAR-10 images, trained slice by slice into tables that are committed."""
