"""Ways to end a call badly."""


def commit(action: str) -> None:
    """Does the bad thing of this name; returns if there is none."""
    match action:
        case "trap":
            raise RuntimeError("nobody catches this")
        case "loop":
            while True:
                pass
        case "memory":
            held = []
            while True:
                held.append(b"\1" * (1 << 20))
