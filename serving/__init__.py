"""The outermost floor: the HTTP API, the model plane, the processes, and the house that binds it all."""
