"""Run sweeps: plan jobs, run them on this machine, Ray or Slurm, and report progress."""
