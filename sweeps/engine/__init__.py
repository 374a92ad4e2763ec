"""The engine: from a plan to a filled store, on Ray Tune."""
