"""The wires: messages of the arq queue, hints, signals. They carry wishes; truth is elsewhere."""
