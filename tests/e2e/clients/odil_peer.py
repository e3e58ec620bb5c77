"""odil, a DICOM network stack of its own, echoes, stores files and asks for their commitment, and says as
JSON lines what it was answered, field by field. Arguments: PORT SCENARIO FILE…"""

import json
import sys

import odil

VERIFICATION = "1.2.840.10008.1.1"
COMMITMENT = "1.2.840.10008.1.20.1"
WELL_KNOWN = "1.2.840.10008.1.20.1.1"
EXPLICIT = "1.2.840.10008.1.2.1"


def say(**line):
    print(json.dumps(line), flush=True)


def associate(port, contexts, called="ISTHMUS"):
    association = odil.Association()
    association.set_peer_host("127.0.0.1")
    association.set_peer_port(port)
    parameters = association.update_parameters()
    parameters.set_calling_ae_title("ODIL").set_called_ae_title(called)
    parameters.set_presentation_contexts([
        odil.AssociationParameters.PresentationContext(
            2 * number + 1, abstract, [syntax], odil.AssociationParameters.PresentationContext.Role.SCU)
        for number, (abstract, syntax) in enumerate(contexts)])
    association.set_parameters(parameters)
    association.associate()
    return association


def text(data_set, tag):
    return data_set.as_string(tag)[0].decode().rstrip("\0 ") if data_set.has(tag) else None


def number(data_set, tag):
    return data_set.as_int(tag)[0] if data_set.has(tag) else None


def fields(message):
    """Every element of the response's command set that PS3.7 table 9.3-2 names."""
    command = message.get_command_set()
    return dict(field=number(command, odil.registry.CommandField),
                message_id=number(command, odil.registry.MessageIDBeingRespondedTo),
                data_set_type=number(command, odil.registry.CommandDataSetType),
                status=number(command, odil.registry.Status),
                sop_class_uid=text(command, odil.registry.AffectedSOPClassUID),
                sop_instance_uid=text(command, odil.registry.AffectedSOPInstanceUID))


def store(port, paths):
    opened = []
    for path in paths:
        with odil.open(path, "rb") as stream:
            header, data_set = odil.Reader.read_file(stream)
        opened.append((path, text(header, odil.registry.TransferSyntaxUID), data_set))
    contexts = [(VERIFICATION, EXPLICIT)] + sorted(
        {(text(data_set, odil.registry.SOPClassUID), syntax) for _, syntax, data_set in opened})
    association = associate(port, contexts)
    request = odil.messages.CEchoRequest(association.next_message_id(), VERIFICATION)
    association.send_message(request, VERIFICATION)
    say(echo=True, asked=request.get_message_id(), **fields(association.receive_message()))
    for path, syntax, data_set in opened:
        sop_class = text(data_set, odil.registry.SOPClassUID)
        sop_instance = text(data_set, odil.registry.SOPInstanceUID)
        request = odil.messages.CStoreRequest(
            association.next_message_id(), sop_class, sop_instance, 0, data_set)
        association.send_message(request, sop_class)
        say(file=path, asked=request.get_message_id(), transfer_syntax=syntax, asked_class=sop_class,
            asked_instance=sop_instance, **fields(association.receive_message()))
    association.release()
    say(released=True)


def set_of(**elements):
    made = odil.DataSet()
    for name, value in elements.items():
        made.add(getattr(odil.registry, name), [value])
    return made


def commitment(port, paths):
    """N-ACTION for files that are stored, and the report on the same association."""
    references = []
    for path in paths:
        with odil.open(path, "rb") as stream:
            header, _ = odil.Reader.read_file(stream)
        references.append(set_of(
            ReferencedSOPClassUID=text(header, odil.registry.MediaStorageSOPClassUID),
            ReferencedSOPInstanceUID=text(header, odil.registry.MediaStorageSOPInstanceUID)))
    information = set_of(TransactionUID="2.25.78")
    information.add(odil.registry.ReferencedSOPSequence, references)
    association = associate(port, [(COMMITMENT, EXPLICIT)])
    request = set_of(RequestedSOPClassUID=COMMITMENT, CommandField=0x0130,
                     MessageID=association.next_message_id(), CommandDataSetType=1,
                     RequestedSOPInstanceUID=WELL_KNOWN, ActionTypeID=1)
    association.send_message(odil.messages.Message(request, information), COMMITMENT)
    say(asked=True, **fields(association.receive_message()))
    event = association.receive_message()
    command, told = event.get_command_set(), event.get_data_set()
    uids = []
    if told.has(odil.registry.ReferencedSOPSequence):
        uids = [text(one, odil.registry.ReferencedSOPInstanceUID)
                for one in told.as_data_set(odil.registry.ReferencedSOPSequence)]
    say(field=number(command, odil.registry.CommandField),
        event=number(command, odil.registry.EventTypeID),
        transaction=text(told, odil.registry.TransactionUID), committed=sorted(uids),
        failed=told.has(odil.registry.FailedSOPSequence))
    reply = set_of(AffectedSOPClassUID=COMMITMENT, CommandField=0x8100,
                   MessageIDBeingRespondedTo=number(command, odil.registry.MessageID),
                   CommandDataSetType=0x0101, Status=0, AffectedSOPInstanceUID=WELL_KNOWN,
                   EventTypeID=number(command, odil.registry.EventTypeID))
    association.send_message(odil.messages.Message(reply), COMMITMENT)
    association.release()
    say(released=True)


def wrong_title(port, _):
    try:
        associate(port, [(VERIFICATION, EXPLICIT)], "NOBODY")
        say(accepted=True)
    except odil.Exception as error:
        say(refused=str(error))


{"store": store, "commitment": commitment, "wrong-title": wrong_title}[sys.argv[2]](int(sys.argv[1]), sys.argv[3:])
