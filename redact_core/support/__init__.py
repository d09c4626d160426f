"""What belongs to no part: paths, JSON, devices, processes."""
