"""Agents: the contract they are written against, how they are found, and the built-in ones."""
