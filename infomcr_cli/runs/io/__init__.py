"""Read and write untrusted files safely."""
