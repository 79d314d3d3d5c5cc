"""Schedule templates: knobs, spaces, configurations, workloads and tasks."""
