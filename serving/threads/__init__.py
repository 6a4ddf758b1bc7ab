"""Graphs on threads: what clients of the threads API and of the chat talk to."""
