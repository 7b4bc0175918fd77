"""What carries out a sweep: its jobs, the processes or machines that do them, and what is shown meanwhile."""
