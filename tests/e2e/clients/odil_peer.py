"""odil, a DICOM network stack of its own, echoes and stores files, and says as JSON lines what it was
answered, field by field. Arguments: PORT SCENARIO FILE…"""

import json
import sys

import odil

VERIFICATION = "1.2.840.10008.1.1"
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


def wrong_title(port, _):
    try:
        associate(port, [(VERIFICATION, EXPLICIT)], "NOBODY")
        say(accepted=True)
    except odil.Exception as error:
        say(refused=str(error))


{"store": store, "wrong-title": wrong_title}[sys.argv[2]](int(sys.argv[1]), sys.argv[3:])
