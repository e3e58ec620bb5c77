"""Stock SDK clients drive the listening data store: the AWS SDK for JavaScript, and botocore."""

import gzip
import json
import os
import subprocess
import sys
import time

from harness import ROOT, SKIP, Daemon, fail, imaging_models, in_temp_folder, make_study

CLIENTS = ROOT / "build/clients"


def javascript(folder):
    if not (CLIENTS / "node_modules/@aws-sdk/client-s3").exists():
        print("skipped: the npm clients are not installed (./dev setup)")
        sys.exit(SKIP)
    make_study(folder / "study", series=2, instances=3)
    with Daemon(folder) as daemon:
        key = daemon.access_key()
        for script in ("sdk_test.mjs", "image_sets_test.mjs"):
            done = subprocess.run(
                ["node", str(ROOT / "tests/e2e/clients" / script)], capture_output=True, text=True,
                timeout=180, env=dict(
                    os.environ, ENDPOINT=f"http://127.0.0.1:{daemon.datastore_port}",
                    KEY_ID=key["access_key_id"], SECRET=key["secret_access_key"],
                    FILES=str(folder / "study"), CLIENTS=str(CLIENTS)))
            print(done.stdout.strip())
            if done.returncode != 0:
                fail(script + ": " + done.stderr[-4000:] + daemon.log_tail(10))


def botocore(folder):
    from botocore.exceptions import ClientError
    files = make_study(folder / "study", series=2, instances=3)
    with Daemon(folder) as daemon:
        s3, imaging = daemon.s3(), daemon.imaging(imaging_models(folder))

        def refused(call, code, **arguments):
            try:
                call(**arguments)
            except ClientError as error:
                if error.response["Error"]["Code"] != code:
                    fail(f"{error.response['Error']} instead of {code}")
                return
            fail(f"{call} was not refused with {code}")

        s3.create_bucket(Bucket="boto-bucket")
        for number, path in enumerate(files):
            s3.put_object(Bucket="boto-bucket", Key=f"in/{number}.dcm", Body=path.read_bytes())
        store = imaging.create_datastore(datastoreName="boto", clientToken="token-1")["datastoreId"]
        again = imaging.create_datastore(datastoreName="boto", clientToken="token-1")["datastoreId"]
        assert store == again
        start = dict(datastoreId=store, jobName="boto", clientToken="job-1",
                     dataAccessRoleArn="arn:aws:iam::123456789012:role/import",
                     inputS3Uri="s3://boto-bucket/in", outputS3Uri="s3://boto-bucket/out/")
        job = imaging.start_dicom_import_job(**start)
        assert imaging.start_dicom_import_job(**start)["jobId"] == job["jobId"]
        refused(imaging.start_dicom_import_job, "ConflictException", **dict(start, jobName="x"))
        refused(imaging.start_dicom_import_job, "ValidationException",
                **dict(start, clientToken="job-2", jobName="no spaces please"))
        refused(imaging.get_datastore, "ResourceNotFoundException", datastoreId="a" * 32)
        refused(imaging.get_dicom_import_job, "ResourceNotFoundException", datastoreId=store,
                jobId="a" * 32)
        refused(s3.get_object, "NoSuchKey", Bucket="boto-bucket", Key="nothing")
        refused(s3.list_objects_v2, "NoSuchBucket", Bucket="boto-nothing")
        deadline = time.monotonic() + 60
        while True:
            properties = imaging.get_dicom_import_job(datastoreId=store, jobId=job["jobId"])["jobProperties"]
            if properties["jobStatus"] == "COMPLETED":
                break
            assert properties["jobStatus"] != "FAILED" and time.monotonic() < deadline, properties
            time.sleep(0.1)
        folder_key = properties["outputS3Uri"].split("/", 3)[3]
        manifest = json.loads(s3.get_object(
            Bucket="boto-bucket", Key=folder_key + "job-output-manifest.json")["Body"].read())
        assert manifest["jobSummary"]["numberOfImportedFiles"] == len(files), manifest
        found = imaging.search_image_sets(datastoreId=store, searchCriteria={
            "filters": [{"values": [{"isPrimary": True}], "operator": "EQUAL"}]})
        summaries = found["imageSetsMetadataSummaries"]
        assert len(summaries) == 2, summaries
        answer = imaging.get_image_set_metadata(datastoreId=store, imageSetId=summaries[0]["imageSetId"])
        document = json.loads(gzip.decompress(answer["imageSetMetadataBlob"].read()))
        assert document["DatastoreID"] == store
        [series] = document["Study"]["Series"].values()
        assert len(series["Instances"]) == 3
        # All primary image sets of the study at once.
        one, other = [summary["imageSetId"] for summary in summaries]
        text = b'{"SchemaVersion":1.1,"Study":{"DICOM":{"StudyDescription":"CHEST"}}}'
        change = dict(datastoreId=store, imageSetId=one, includeStudyImageSets=True)
        accepted = imaging.update_image_set_metadata(
            **change, latestVersionId="1",
            updateImageSetMetadataUpdates={"DICOMUpdates": {"updatableAttributes": text}})
        assert accepted["imageSetWorkflowStatus"] == "UPDATING", accepted
        while imaging.get_image_set(datastoreId=store, imageSetId=other)["imageSetState"] == "LOCKED":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        for image_set in (one, other):
            answer = imaging.get_image_set_metadata(datastoreId=store, imageSetId=image_set)
            document = json.loads(gzip.decompress(answer["imageSetMetadataBlob"].read()))
            assert document["Study"]["DICOM"]["StudyDescription"] == "CHEST"
        refused(imaging.update_image_set_metadata, "ValidationException", **change,
                latestVersionId="2", updateImageSetMetadataUpdates={"revertToVersionId": "1"})
        print(f"botocore: {len(files)} files, {len(summaries)} image sets")


for test in (botocore, javascript):
    in_temp_folder(test)
    print("passed:", test.__name__, flush=True)
