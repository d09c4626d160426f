"""What all commands share: classes by name, devices, refusals in one line."""
