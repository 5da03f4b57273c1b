"""The only way of the docks to models and engine, and what runs in threads there."""
