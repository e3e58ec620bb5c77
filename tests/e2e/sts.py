"""A stand-in of AWS Security Token Service that checks what the real one checks: the form, its version, the
signature (SigV4, with the secret it knows), the date, the external id, the web identity token."""

import datetime
import hashlib
import hmac
import http.server
import threading
import urllib.parse

XML = "https://sts.amazonaws.com/doc/2011-06-15/"


def sign(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


class Sts:
    """`secrets`: by access key id. `given`: the set that AssumeRole gives, (id, secret)."""

    def __init__(self, secrets, given=None, external_id=None, web_token=None, lifetime_s=3600):
        self.secrets, self.given = secrets, given
        self.external_id, self.web_token, self.lifetime_s = external_id, web_token, lifetime_s
        self.expired = set()  # access key ids whose session is over
        self.asked = []       # Actions
        self.tokens = 0
        sts = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                status, text = sts.answer(self, body)
                self.send_response(status)
                self.send_header("Content-Type", "text/xml")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def do_GET(self):
                self.send_response(302)
                self.send_header("Content-Length", "0")
                self.end_headers()

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    @staticmethod
    def refuse(status, code, message):
        return status, (f'<ErrorResponse xmlns="{XML}"><Error><Type>Sender</Type><Code>{code}</Code>'
                        f"<Message>{message}</Message></Error></ErrorResponse>")

    def answer(self, request, body):
        if not request.headers.get("Content-Type", "").startswith("application/x-www-form-urlencoded"):
            return self.refuse(400, "InvalidParameterValue", "not a form")
        form = dict(urllib.parse.parse_qsl(body, keep_blank_values=True))
        if form.get("Version") != "2011-06-15":
            return self.refuse(400, "NoSuchVersion", "no such version")
        action = form.get("Action")
        self.asked.append(action)
        if action == "AssumeRoleWithWebIdentity":
            if "Authorization" in request.headers:
                return self.refuse(400, "InvalidAction", "this call is not signed")
            if form.get("WebIdentityToken") != self.web_token:
                return self.refuse(400, "InvalidIdentityToken", "the token is not ours")
            return self.credentials(action)
        refused = self.check_signature(request, body)
        if refused:
            return refused
        if action == "GetCallerIdentity":
            return 200, (f'<GetCallerIdentityResponse xmlns="{XML}"><GetCallerIdentityResult>'
                         "<Arn>arn:aws:iam::123456789012:user/gateway</Arn><UserId>AIDAGATEWAY</UserId>"
                         "<Account>123456789012</Account></GetCallerIdentityResult>"
                         "</GetCallerIdentityResponse>")
        if action == "AssumeRole":
            if not form.get("RoleArn", "").startswith("arn:aws:iam::") or not form.get("RoleSessionName"):
                return self.refuse(400, "ValidationError", "RoleArn or RoleSessionName")
            if self.external_id and form.get("ExternalId") != self.external_id:
                return self.refuse(403, "AccessDenied", "not authorized to perform: sts:AssumeRole")
            return self.credentials(action)
        return self.refuse(400, "InvalidAction", "unknown action")

    def credentials(self, action):
        key, secret = self.given
        self.tokens += 1
        until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=self.lifetime_s)
        return 200, (f'<{action}Response xmlns="{XML}"><{action}Result><Credentials>'
                     f"<AccessKeyId>{key}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey>"
                     f"<SessionToken>session-{self.tokens}</SessionToken>"
                     f"<Expiration>{until:%Y-%m-%dT%H:%M:%SZ}</Expiration></Credentials>"
                     f"</{action}Result></{action}Response>")

    def check_signature(self, request, body):
        header = request.headers.get("Authorization", "")
        if not header.startswith("AWS4-HMAC-SHA256 "):
            return self.refuse(403, "MissingAuthenticationToken", "the request is not signed")
        parts = dict(part.strip().split("=", 1) for part in header[17:].split(","))
        key, day, region, service, _ = parts["Credential"].split("/")
        if key not in self.secrets:
            return self.refuse(403, "InvalidClientTokenId", "The security token included is invalid.")
        if key in self.expired:
            return self.refuse(403, "ExpiredToken", "The security token included is expired.")
        at = request.headers["X-Amz-Date"]
        said = datetime.datetime.strptime(at, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
        if abs((datetime.datetime.now(datetime.timezone.utc) - said).total_seconds()) > 300:
            return self.refuse(403, "SignatureDoesNotMatch", "Signature expired")
        names = parts["SignedHeaders"].split(";")
        if "host" not in names or "x-amz-date" not in names or service != "sts":
            return self.refuse(403, "SignatureDoesNotMatch", "headers are missing in the signature")
        canonical = "\n".join(["POST", urllib.parse.urlsplit(request.path).path, ""] +
                              [f"{name}:{' '.join(request.headers[name].split())}" for name in names] +
                              ["", ";".join(names), hashlib.sha256(body.encode()).hexdigest()])
        scope = f"{day}/{region}/sts/aws4_request"
        text = "\n".join(["AWS4-HMAC-SHA256", at, scope,
                          hashlib.sha256(canonical.encode()).hexdigest()])
        secret = sign(sign(sign(sign(("AWS4" + self.secrets[key]).encode(), day), region), "sts"),
                      "aws4_request")
        if sign(secret, text).hex() != parts["Signature"]:
            return self.refuse(403, "SignatureDoesNotMatch", "The signature we calculated does not match.")
        return None
