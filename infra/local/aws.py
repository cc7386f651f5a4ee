"""moto's server as a WSGI application, so that a real HTTP server can carry it; its state is this process's memory."""

from moto.server import DomainDispatcherApplication, create_backend_app

application = DomainDispatcherApplication(create_backend_app)
