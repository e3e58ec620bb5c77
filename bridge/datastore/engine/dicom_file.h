// A Part 10 file, read as far as there is metadata in it: scanned within limits, and only then
// parsed by DCMTK, without pixel data and values that are too long. For the worker process alone.
#pragma once

// DCMTK's headers need what osconfig.h decides about the platform.
#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dctk.h>

#include "datastore/engine/examine.h"
#include "dicom/part10.h"
#include "dicom/probe.h"
#include "dicom/skeleton.h"
#include "dicom/transfer_syntax.h"

namespace isthmus::datastore {

// Its members are filled from top to bottom.
struct DicomFile {
  Bytes head;
  dicom::FileHead meta;
  const dicom::TransferSyntax* syntax = nullptr;
  dicom::Skeleton skeleton;
  Identity identity;
  DcmDataset file_meta;
  DcmDataset dataset;
};

// What DCMTK reads and writes the data set as; it knows nothing of the newer syntaxes.
E_TransferSyntax dcmtk_syntax(const dicom::TransferSyntax& syntax);

// Errors: dicom.*, disk.*; permanent where the file is to blame.
Result<void> read_dicom_file(ByteSource& source, const ExamineLimits& limits, DicomFile& file);

}  // namespace isthmus::datastore
