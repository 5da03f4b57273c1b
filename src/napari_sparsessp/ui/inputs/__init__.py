"""What several docks ask for: a stack, structures, a network, a device."""
