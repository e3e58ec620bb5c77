#include "plugin/intake.h"

#include <limits>

namespace isthmus::plugin {

RouteInstance route_of(const Senders& senders, const Origin& origin) {
  return [&senders, &origin](RouteAttributes attributes) {
    const Sender sender = senders.find_by_ae_title(origin.calling_ae_title).value_or(Sender{});
    attributes.sender = sender.name;
    attributes.calling_ae_title = origin.calling_ae_title;
    attributes.called_ae_title = origin.called_ae_title;
    return senders.route(sender, attributes).destinations;
  };
}

Result<Receipt> take_file(Spool& spool, const Senders& senders, const Origin& origin,
                          ByteSpan file) {
  // Orthanc holds it already, so it is not too large for anybody.
  InstanceIntake intake(spool, origin, std::numeric_limits<std::uint64_t>::max());
  intake.file_follows();
  intake.append(file);
  TRY(intake.identify());
  return intake.commit(route_of(senders, origin));
}

}  // namespace isthmus::plugin
