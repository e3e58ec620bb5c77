"""An authority made for one test, by the openssl program: nothing of it is ever stored in the tree."""

import os
import pathlib
import subprocess


def openssl(*words, check=True, text_in=None):
    done = subprocess.run(["openssl", *[str(word) for word in words]], capture_output=True, text=True,
                          input=text_in, timeout=60)
    if check and done.returncode != 0:
        raise AssertionError(f"openssl {words[0]} gave {done.returncode}: {done.stderr[-500:]}")
    return done


class Pair:
    """A certificate and its key."""

    def __init__(self, folder, name):
        self.certificate = folder / f"{name}.pem"
        self.key = folder / f"{name}.key"

    def dcmtk(self, authority):
        """The options of DCMTK's programs: key, certificate, whom to trust."""
        return ["+tls", str(self.key), str(self.certificate), "+cf", str(authority.certificate)]


class Authority:
    def __init__(self, folder, name="test authority"):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.certificate, self.key = self.folder / "ca.pem", self.folder / "ca.key"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", self.key, "-out", self.certificate, "-subj", f"/CN={name}", "-days", "30")

    def issue(self, name, key="rsa:2048", days=30, digest="sha256", names="DNS:localhost,IP:127.0.0.1"):
        pair = Pair(self.folder, name)
        kind = ["-newkey", key] if key != "ec" else \
            ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        request = self.folder / f"{name}.csr"
        openssl("req", "-new", *kind, "-nodes", "-keyout", pair.key, "-out", request,
                "-subj", f"/CN={name}")
        extensions = self.folder / f"{name}.ext"
        extensions.write_text(f"basicConstraints=CA:FALSE\nsubjectAltName={names}\n")
        openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key,
                "-CAcreateserial", "-out", pair.certificate, "-days", days, f"-{digest}",
                "-extfile", extensions)
        os.chmod(pair.key, 0o600)
        return pair

    def crl(self, *revoked):
        """A list of what was revoked; gives its path."""
        index, settings, out = (self.folder / name for name in ("index.txt", "ca.cnf", "crl.pem"))
        index.write_text("")
        settings.write_text(f"[ca]\ndefault_ca=c\n[c]\ndatabase={index}\ndefault_md=sha256\n"
                            "default_crl_days=7\n")
        for pair in revoked:
            openssl("ca", "-config", settings, "-revoke", pair.certificate, "-cert", self.certificate,
                    "-keyfile", self.key)
        openssl("ca", "-config", settings, "-gencrl", "-out", out, "-cert", self.certificate,
                "-keyfile", self.key)
        return out
