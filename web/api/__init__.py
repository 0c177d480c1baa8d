"""The REST API: pictures in, their words out. `create_api` makes an application that the site mounts at /api."""
