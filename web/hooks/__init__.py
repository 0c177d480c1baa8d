"""Where stores announce pictures: bucket events over HTTP, a queue, and a watched folder."""
