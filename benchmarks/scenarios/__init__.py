"""What is measured, one file a theme; each scenario takes the stage and gives figures."""
