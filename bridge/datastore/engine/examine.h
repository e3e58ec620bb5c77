// One DICOM file, looked at for an import: is it acceptable, what is it, and its metadata document
// by HealthImaging's rules. Runs in isthmus-import-worker, an expendable process, because a parser
// that others wrote reads a stranger's bytes here; the data store talks to it in lines of JSON.
//
// The worker: `isthmus-import-worker [--memory-bytes N] [--cpu-seconds N]`. N bytes of address
// space above what it starts with; N seconds of processor time *per file*. A request on stdin, one
// line:
//
//   {"path":"/abs/blob","offset":0,"length":12345,"id":"any text"}
//
// offset (0) and length (the rest) may be left out, and so may id, which is copied into the answer.
// The answer on stdout, one line, nothing else ever; it lives until stdin ends. When it dies
// instead of answering (limits, or a crash), that file alone failed: start another. stderr has no
// patient data.
//
// A request may ask for the data dictionary instead:
//
//   {"keywords":["PatientName",…]}
//
// and has the answer {"ok":true,"elements":{"PatientName":{"tag":"00100010","vr":"PN",
// "several":false,"level":"patient"}}}, without those that it does not know.
//
// Refused: the file becomes a line of failure.ndjson.
//
//   {"ok":false,"exceptionType":"ValidationException","message":"DICOM attribute … does not exist",
//    "code":"dicom.missing_uid"}
//
// exceptionType is ValidationException (the file) or InternalServerException (us: it cannot be
// read, or needs more memory than allowed). message is plain words without values of the data set;
// code is one of base's stable error codes (dicom.*, disk.*, worker.*).
//
// A request may have "measure":false: frames are found, and not decoded. That is what is asked when
// a process died of a file: a code stream that kills its decoder costs its frames, not the
// instance.
//
// Accepted, one line too: the answer, a tab, and the document as the catalogue keeps it (JSON
// without white space has neither tab nor line feed). Its own reader needs no more of the document
// than to know that it is JSON.
//
//   {"metadata":…,"transferSyntaxUID":…,"frames":…,"rows":…,"columns":…,"datasetOffset":…,"bulk":…}
//
// has left the answer but for datasetOffset, which is in both. Here they stand together:
//
//   {"ok":true,
//    "transferSyntaxUID":"1.2.840.10008.1.2.4.201",
//    "identity":{"sopClassUID":"…","sopInstanceUID":"…","studyInstanceUID":"…",
//                "seriesInstanceUID":"…"},                  valid UIDs, padding stripped
//    "grouping":{"study":{"StudyDate":…,"AccessionNumber":…,"PatientID":…,"StudyInstanceUID":…,
//                         "StudyID":…},
//                "series":{"SeriesInstanceUID":…,"SeriesNumber":…}},
//                                     each a string without padding, or null when empty or absent
//    "tags":{"PatientID":…,"PatientName":…,"PatientBirthDate":…,"PatientSex":…,
//            "StudyInstanceUID":…,"StudyID":…,"StudyDescription":…,"StudyDate":…,"StudyTime":…,
//            "AccessionNumber":…,"ReferringPhysicianName":…,"SeriesInstanceUID":…,"SeriesNumber":…,
//            "Modality":…,
//            "BodyPartExamined":…,"SeriesDescription":…,"InstanceNumber":…,   as in grouping
//            "instance":{…}},                                             instance_facts.h
//    "rows":512,"columns":512,"frames":1,         0 when the object has no such attribute; frames
//    is 1
//                                                 for an image that does not say, 0 without pixels,
//                                                 never more than declared, than the pixel data can
//                                                 hold, or than a million
//    "hasPixelData":true,
//    "pixelData":{"description":{…},"records":"base64"},   absent without frames: pixel_layout.h
//    "datasetOffset":1024,                        of the data set in the file: behind group 0002
//    "metadata":{"patient":{…},"study":{…},"series":{…},"instance":{…},"DICOMVRs":{…}},
//    "bulk":[{"tag":4325393,"vr":"OB","begin":2048,"size":5000000}],   absent when empty: values
//                                                 that metadata have not, native pixel data, too;
//                                                 `begin` in the (inflated) data set
//    "warnings":[{"code":45330,"type":"INVALID_OFFSET_TABLE","message":"…"}]}
//
// metadata's members are what HealthImaging calls "DICOM" at each level, and "DICOMVRs" of the
// instance (private and unknown elements only, those inside sequences too): keyword keys, or eight
// hex digits
// ("00191001") where there is no keyword; values as contracts/healthimaging/README.md section 4
// says. Left out: pixel data, group lengths. A value longer than 4 MiB is null, with a warning of
// type ELEMENTS_DISCARDED. Text is UTF-8; bytes that SpecificCharacterSet cannot explain became
// U+FFFD. warnings has at most one entry of each type, with the codes of warning-codes.json
// (documented decimals).
#pragma once

#include <chrono>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace isthmus::datastore {

struct ExamineLimits {
  std::uint64_t value_bytes = 4 * MiB;  // longer values are left out of the metadata
  std::uint64_t metadata_bytes =
      128 * MiB;  // a data set with more than that besides pixels is refused
  bool measure_frames = true;
  std::chrono::milliseconds pixel_time{10'000};  // of measuring; frames left are not measured
};

// Loads DCMTK's dictionary and silences it: it would print values. Once per process, before
// anything else. "dicom.no_dictionary" (fatal) when the dictionary's file is not installed.
Result<void> prepare_examiner();

// The answer for a whole Part 10 file, without "id", and with the members of the document. Does not
// throw but for want of memory.
nlohmann::json examine(ByteSource& file, const ExamineLimits& limits = {});

// The line of an answer of any kind, without its line feed.
std::string print_answer(nlohmann::json answer);

// The answer to a request for the data dictionary.
nlohmann::json look_up_keywords(const nlohmann::json& keywords);

}  // namespace isthmus::datastore
