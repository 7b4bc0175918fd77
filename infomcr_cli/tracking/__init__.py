"""Mirror run directories in MLflow. This is the only package that imports MLflow."""
