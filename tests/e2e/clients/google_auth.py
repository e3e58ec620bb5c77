"""Google's auth library for Python with a key file of the data store: it asks the key's token_uri.

Environment: ENDPOINT, GOOGLE_APPLICATION_CREDENTIALS. Prints how many buckets it saw.
"""

import os

import google.auth
from google.auth.transport.requests import AuthorizedSession

SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]

credentials, project = google.auth.default(scopes=SCOPES)
session = AuthorizedSession(credentials)
endpoint = os.environ["ENDPOINT"]
answer = session.post(f"{endpoint}/storage/v1/b?project={project}", json={"name": "python-bucket"})
assert answer.status_code == 200, answer.text
buckets = session.get(f"{endpoint}/storage/v1/b?project={project}").json()["items"]
print(f"google-auth for Python: {project}, {len(buckets)} buckets, token by JWT grant")
