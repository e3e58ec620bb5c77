// A Part 10 file that Orthanc holds, into the spool: what both the stored-instance callback and the
// repair do.
#pragma once

#include "intake/instance_intake.h"
#include "senders/senders.h"
#include "spool/spool.h"

namespace isthmus::plugin {

// Bytes are kept as Orthanc keeps them. When it returns without error, the instance would survive a
// power cut on our side too, whatever becomes of Orthanc; known bytes are success. Errors: those of
// the spool, and of dicom/part10.h and dicom/probe.h when this is no instance that we can carry.
// Any thread.
Result<Receipt> take_file(Spool& spool, const Senders& senders, const Origin& origin,
                          ByteSpan file);

// Where what `origin` sent goes: Orthanc decided whom to let in; a sender of that title may still
// say where its instances go. The references outlive it.
RouteInstance route_of(const Senders& senders, const Origin& origin);

}  // namespace isthmus::plugin
