"""The evolution of a network: what each generation tries, who survives, and when it ends."""
