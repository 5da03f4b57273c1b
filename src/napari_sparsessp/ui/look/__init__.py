"""How the docks look: colours, steps, charts and other parts without a meaning."""
