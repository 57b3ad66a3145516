"""TLS with a broker whose certificate is of one CA. Enters: that CA in PEM. Leaves: a context that verifies. Raises ValueError.

The name in the broker's certificate is checked where the connection is made. Not for an ESP8266, where it would verify nothing.
"""

import tls
from binascii import a2b_base64


def secured(pem):
    context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
    context.verify_mode = tls.CERT_REQUIRED
    context.load_verify_locations(a2b_base64("".join(line for line in pem.split("\n") if "-----" not in line)))
    return context
