# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""A slow web server: each answer takes a minute, so that connections can be looked at."""

import http.server
import time


class Slow(http.server.BaseHTTPRequestHandler):
    """Answers with a line a second."""

    def do_GET(self):  # pylint: disable=invalid-name
        self.send_response(200)
        self.end_headers()
        try:
            for _ in range(60):
                self.wfile.write(b"still here\n")
                time.sleep(1)
        except OSError:
            pass

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("10.0.0.1", 8000), Slow).serve_forever()
