"""The client framework: event-sourced aggregates, repositories, subscribers.

Users import from ``eventuary``; the modules here are its insides.
"""
