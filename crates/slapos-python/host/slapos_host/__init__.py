"""The host's own rooms: nothing here is for recipes."""
