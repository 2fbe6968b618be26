"""What tests share: databases of their own, waiting for conditions, and worker processes."""
