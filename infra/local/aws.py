"""moto's server as a WSGI application, so that a real HTTP server can carry it; its state is this process's memory."""

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

application = DomainDispatcherApplication(create_backend_app)
