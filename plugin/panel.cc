#include "plugin/panel.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "plugin/followup.h"

namespace isthmus::plugin {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kInstances = 50'000;
constexpr std::size_t kTimeline = 500;

// Explorer of 1.10.1 is jQuery Mobile: a page is there before its first "pagebeforecreate", and
// $.mobile.pageData.uuid is Orthanc's id of what it shows.
constexpr const char* kScript = R"js(
$('#study').live('pagebeforecreate', function() {
  var button = $('<a>').attr('data-role', 'button').attr('href', '#').attr('data-icon', 'info')
    .attr('data-theme', 'e').attr('id', 'isthmus-button').text('Isthmus');
  var panel = $('<div>').attr('id', 'isthmus-panel').hide();
  button.insertBefore($('#study-delete').parent().parent());
  panel.insertAfter(button);

  function line(label, value) {
    return $('<p>').append($('<strong>').text(label + ': ')).append($('<span>').text(value));
  }
  function say(text) {
    panel.empty().append($('<p>').attr('id', 'isthmus-message').text(text)).show();
  }
  function show(study) {
    panel.empty();
    panel.append(line('State', study.state).attr('id', 'isthmus-state'));
    panel.append(line('Received', study.received + ', the last at ' + study.last_received_at));
    panel.append(line('Imported', study.imported + ' of ' + study.deliveries));
    panel.append(line('Image sets', study.image_sets.join(', ') || 'none yet'));
    panel.append(line('Import jobs', study.import_jobs.join(', ') || 'none yet'));
    $.each(study.reasons, function(i, reason) { panel.append(line('Asks for a person', reason)); });
    var story = $('<ul>').attr('id', 'isthmus-timeline');
    $.each(study.timeline, function(i, one) {
      story.append($('<li>').text(one.at + '  ' + one.subject + ' ' + one.event +
        (one.to ? ', now ' + one.to : '') + (one.why ? ' (' + one.why + ')' : '')));
    });
    panel.append($('<strong>').text('Timeline')).append(story);
    var retry = $('<button>').attr('id', 'isthmus-retry').text('Try again what was refused');
    retry.click(function() {
      $.ajax({url: '../isthmus/control/retry', type: 'POST', contentType: 'application/json',
        dataType: 'json', data: JSON.stringify({what: study.study_instance_uid}),
        success: function(done) { load(function() {
          panel.append($('<p>').attr('id', 'isthmus-retried')
            .text(done.moved + ' tried again')); }); },
        error: function(answer) { say('That was refused: ' + answer.status); }});
      return false;
    });
    panel.append(retry).append(update_form(study.study_instance_uid)).show();
  }
  // What is to be changed, then what that would change where, then whether to do it.
  function update_form(uid) {
    var form = $('<div>').attr('id', 'isthmus-update');
    var which = $('<select>').attr('id', 'isthmus-attribute').attr('data-role', 'none');
    $.each(['StudyDescription', 'AccessionNumber', 'PatientName', 'PatientID', 'PatientBirthDate',
      'PatientSex', 'ReferringPhysicianName', 'StudyDate'], function(i, name) {
      which.append($('<option>').attr('value', name).text(name));
    });
    var value = $('<input>').attr('id', 'isthmus-value').attr('type', 'text')
      .attr('data-role', 'none');
    var differences = $('<div>').attr('id', 'isthmus-differences');
    function change() {
      var set = {}, is_name = /Name$/.test(which.val());
      set[which.val()] = {Value: [is_name ? {Alphabetic: value.val()} : value.val()]};
      return JSON.stringify({set: set});
    }
    function order(body, dry, success) {
      $.ajax({url: '../isthmus/v1/studies/' + uid, type: 'POST',
        headers: {'X-Isthmus-Method': 'PATCH?dryRun=' + dry}, contentType: 'application/json',
        dataType: 'json', data: body, success: success,
        error: function(answer) {
          var why = {};
          try { why = JSON.parse(answer.responseText); } catch (ignored) {}
          differences.empty().append($('<p>').attr('id', 'isthmus-refused')
            .text('Refused: ' + (why.detail || why.title || answer.status)));
        }});
    }
    function words(value) {
      if (value === undefined) return 'nothing';
      return JSON.stringify(value);
    }
    // Until it is through, or the panel shows something else.
    function follow(id, place) {
      if (!$.contains(document.documentElement, place[0])) return;
      function again() { setTimeout(function() { follow(id, place); }, 1000); }
      $.ajax({url: '../isthmus/v1/metadata-updates/' + id, dataType: 'json', cache: false,
        success: function(now) {
          place.text(now.destination + ': ' + now.state + (now.error ? ', ' + now.error : ''));
          if (now.state === 'pending' || now.state === 'applying') again();
        },
        error: again});
    }
    function compare(body, found) {
      differences.empty();
      var any = false;
      $.each(found.updates, function(i, update) {
        if (update.outcome === 'pending') {
          any = true;
          differences.append($('<p>').text(update.destination + ': after the import'));
        }
        if (update.error) {
          differences.append($('<p>').text(update.destination + ': ' + update.error));
        }
        $.each(update.image_sets || [], function(j, image_set) {
          $.each(image_set.attributes, function(k, one) {
            any = any || one.changes;
            differences.append($('<p>').text(update.destination + ' ' + image_set.image_set_id +
              ' ' + one.key + ': ' + words(one.before) +
              (one.changes ? ' becomes ' + words(one.wanted) : ' stays')));
          });
        });
      });
      if (!any) { differences.append($('<p>').text('Nothing would change.')); return; }
      var confirm = $('<button>').attr('id', 'isthmus-confirm').attr('data-role', 'none')
        .text('Change it');
      confirm.click(function() {
        order(body, false, function(ordered) {
          differences.empty().append($('<p>').attr('id', 'isthmus-ordered')
            .text('Ordered: update ' + ordered.id));
          $.each(ordered.updates || [ordered], function(i, one) {
            follow(one.id, $('<p>').addClass('isthmus-update-state').appendTo(differences));
          });
        });
        return false;
      });
      differences.append(confirm);
    }
    var look = $('<button>').attr('id', 'isthmus-look').attr('data-role', 'none')
      .text('Show what would change');
    look.click(function() {
      var body = change();
      order(body, true, function(found) { compare(body, found); });
      return false;
    });
    return form.append($('<strong>').text('Update metadata ')).append(which).append(value)
      .append(look).append(differences);
  }
  function load(then) {
    $.getJSON('../studies/' + $.mobile.pageData.uuid, function(study) {
      $.ajax({url: '../isthmus/orthanc/study', dataType: 'json', cache: false,
        data: {uid: study.MainDicomTags.StudyInstanceUID},
        success: function(found) { show(found); if (then) then(); },
        error: function(answer) {
          say(answer.status === 404 ? 'Isthmus has received nothing of this study.' :
              'Isthmus does not answer: ' + answer.status); }});
    });
  }
  button.click(function() {
    if (panel.is(':visible')) { panel.hide(); } else { load(); }
    return false;
  });
});
$('#study').live('pagebeforeshow', function() { $('#isthmus-panel').hide(); });
)js";

struct Summary {
  std::int64_t deliveries = 0, imported = 0;
  WallTime last_received{};
  std::set<std::string> image_sets, reasons;
};

Summary summary_of(const std::vector<InstanceView>& held) {
  Summary summary;
  for (const InstanceView& view : held) {
    summary.last_received = std::max(summary.last_received, view.instance.received_at);
    for (const Delivery& delivery : view.deliveries) {
      ++summary.deliveries;
      if (delivery.state == DeliveryState::imported) ++summary.imported;
      if (!delivery.image_set_id.empty()) summary.image_sets.insert(delivery.image_set_id);
      const bool asks =
          delivery.state == DeliveryState::rejected || delivery.state == DeliveryState::quarantined;
      if (asks) {
        summary.reasons.insert(delivery.destination + ": " + delivery.reason_code + " " +
                               delivery.reason);
      }
    }
  }
  return summary;
}

// The service's ids, of batches whose job has ended.
std::set<std::string> jobs_of(Ledger& ledger, const std::vector<InstanceView>& held) {
  std::set<BatchId> batches;
  for (const InstanceView& view : held) {
    for (const Delivery& delivery : view.deliveries) {
      if (delivery.batch) batches.insert(*delivery.batch);
    }
  }
  std::set<std::string> jobs;
  for (const BatchId& batch : batches) {
    const auto job = ledger.settling_job(batch);
    if (job.ok() && job->remote) jobs.insert(job->remote->id);
  }
  return jobs;
}

}  // namespace

const char* explorer_script() {
  return kScript;
}

Result<std::string> study_panel_json(Ledger& ledger, std::string_view study_instance_uid) {
  TRY_ASSIGN(auto held, ledger.instances(study_instance_uid, kInstances));
  std::erase_if(held, [&](const InstanceView& view) {
    return view.instance.study_instance_uid.text() != study_instance_uid;
  });
  if (held.empty()) {
    return permanent_error("ledger.not_found", "Nothing of this study was received.");
  }
  const Summary summary = summary_of(held);
  Json body{{"study_instance_uid", study_instance_uid},
            {"state", state_of(held)},
            {"received", held.size()},
            {"last_received_at", to_rfc3339(summary.last_received)},
            {"deliveries", summary.deliveries},
            {"imported", summary.imported},
            {"image_sets", summary.image_sets},
            {"import_jobs", Json::array()},
            {"reasons", summary.reasons},
            {"timeline", Json::array()}};
  for (const std::string& job : jobs_of(ledger, held)) body["import_jobs"].push_back(job);
  TRY_ASSIGN(const auto story, ledger.history(study_instance_uid, kTimeline));
  for (const HistoryEntry& entry : story) {
    body["timeline"].push_back({{"at", to_rfc3339(entry.at)},
                                {"subject", entry.subject},
                                {"event", entry.event},
                                {"to", entry.to_state},
                                {"why", entry.why}});
  }
  return body.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace isthmus::plugin
