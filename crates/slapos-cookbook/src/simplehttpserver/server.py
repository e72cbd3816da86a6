
import functools
import http.server
import logging
import os
import socket
import socketserver
import ssl
import urllib.parse
from email.parser import BytesParser
from email.policy import HTTP

LARGEST = 1 << 30  # bytes of a request that is written

# Headers that prove who asks: a log is read by more people than them.
SECRET = ('authorization', 'cookie', 'proxy-authorization')


class Handler(http.server.SimpleHTTPRequestHandler):
    def address_string(self):
        # A client of a Unix socket has no address.
        if isinstance(self.client_address, tuple):
            return self.client_address[0]
        return '<unnamedsocket>'

    def log_message(self, text, *arguments):
        logging.info('%s - - ' + text, self.address_string(), *arguments)

    def log_error(self, text, *arguments):
        logging.error('%s - - ' + text, self.address_string(), *arguments)

    def log_request(self, code='-', size='-'):
        headers = getattr(self, 'headers', None) or {}
        status = getattr(code, 'value', code)
        text = ''.join('\n  %s: %s' % (name, '***' if name.lower() in SECRET else value)
                       for name, value in headers.items())
        self.log_message('"%s" %s %s%s', self.requestline, status, size, text)

    def answer(self, code, text, kind='text/plain'):
        body = text.encode()
        self.send_response(code)
        self.send_header('Content-Type', kind)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        if not ALLOW_WRITE:
            self.close_connection = True
            return self.answer(403, 'Forbidden', 'text/html')
        try:
            form = self.form()
            name = form['path'].decode()
            content = form['content']
        except (KeyError, ValueError) as error:
            self.close_connection = True
            return self.answer(400, 'a form with path and content is needed: %s' % error)
        path = os.path.abspath(os.path.join(BASE_PATH, name))
        if os.path.commonpath((path, BASE_PATH)) != BASE_PATH:
            return self.answer(403, 'Forbidden')
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, 'wb' if form.get('clear') == b'1' else 'ab') as file:
                file.write(content)
        except OSError as error:
            self.log_error('cannot write %s: %s', path, error)
            return self.answer(500, 'cannot write %s' % name)
        self.log_message('wrote %s', path)
        self.answer(200, 'Content written to %s' % name)

    def form(self):
        """The fields of the request, name to bytes."""
        length = int(self.headers.get('Content-Length') or 0)
        if not 0 <= length <= LARGEST:
            raise ValueError('its length is %s' % length)
        body = self.rfile.read(length)
        kind = self.headers.get_content_type()
        if kind == 'application/x-www-form-urlencoded':
            pairs = urllib.parse.parse_qsl(body.decode('latin-1'), True, encoding='latin-1')
            return {name: value.encode('latin-1') for name, value in pairs}
        if kind != 'multipart/form-data':
            raise ValueError('it is ' + kind)
        head = 'Content-Type: %s\r\n\r\n' % self.headers['Content-Type']
        parts = BytesParser(policy=HTTP).parsebytes(head.encode() + body)
        return {
            part.get_param('name', header='content-disposition'): part.get_payload(decode=True)
            for part in parts.iter_parts()
        }


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def get_request(self):
        # The handshake is made by the thread of the connection: nobody can make others wait.
        connection, address = super().get_request()
        if CERT_FILE:
            connection = self.tls.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False)
        return connection, address


def family(address):
    """The family of sockets for an address; a Unix socket that nobody listens on goes."""
    if isinstance(address, tuple):
        return socket.getaddrinfo(*address, type=socket.SOCK_STREAM)[0][0]
    if not address.startswith('\0') and os.path.exists(address):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(address)
            except OSError:
                os.unlink(address)
    return socket.AF_UNIX


def main():
    logging.basicConfig(
        format='%(asctime)s %(levelname)s - %(message)s', filename=LOG_FILE, level=logging.INFO)
    os.chdir(BASE_PATH)
    Server.address_family = family(ADDRESS)
    if CERT_FILE:
        Server.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        Server.tls.load_cert_chain(CERT_FILE, KEY_FILE)
    server = Server(ADDRESS, functools.partial(Handler, directory=BASE_PATH))
    logging.info('Starting simple http server at %s', ADDRESS)
    server.serve_forever()


main()
