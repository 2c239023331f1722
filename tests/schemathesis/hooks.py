"""What schemathesis cannot know by itself: how bytes of a component are sent."""

import schemathesis


@schemathesis.serializer("application/wasm")
def component(context, value):
    return value if isinstance(value, bytes) else str(value).encode()
