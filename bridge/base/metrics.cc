#include "base/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <map>
#include <mutex>
#include <vector>

namespace isthmus {
namespace {

std::string exposed_name(std::string_view name) {
  return "isthmus_" + std::string(name);
}

class PrometheusCounter : public Counter {
 public:
  explicit PrometheusCounter(prometheus::Counter& counter) : counter_(counter) {}
  void add(double amount) override { counter_.Increment(amount); }
  double value() const override { return counter_.Value(); }

 private:
  prometheus::Counter& counter_;
};

class PrometheusGauge : public Gauge {
 public:
  explicit PrometheusGauge(prometheus::Gauge& gauge) : gauge_(gauge) {}
  void set(double value) override { gauge_.Set(value); }
  void add(double amount) override { gauge_.Increment(amount); }
  double value() const override { return gauge_.Value(); }

 private:
  prometheus::Gauge& gauge_;
};

class PrometheusHistogram : public Histogram {
 public:
  explicit PrometheusHistogram(prometheus::Histogram& histogram) : histogram_(histogram) {}
  void observe(double value) override { histogram_.Observe(value); }

 private:
  prometheus::Histogram& histogram_;
};

class PrometheusMetrics : public Metrics {
 public:
  Counter& counter(std::string_view name, std::string_view help, MetricLabels labels) override {
    return find<Counter, PrometheusCounter>(counters_, name, labels, [&](const auto& label_map) {
      auto& family = prometheus::BuildCounter()
                         .Name(exposed_name(name))
                         .Help(std::string(help))
                         .Register(registry_);
      return &family.Add(label_map);
    });
  }
  Gauge& gauge(std::string_view name, std::string_view help, MetricLabels labels) override {
    return find<Gauge, PrometheusGauge>(gauges_, name, labels, [&](const auto& label_map) {
      auto& family = prometheus::BuildGauge()
                         .Name(exposed_name(name))
                         .Help(std::string(help))
                         .Register(registry_);
      return &family.Add(label_map);
    });
  }
  Histogram& histogram(std::string_view name, std::string_view help, MetricLabels labels) override {
    return find<Histogram, PrometheusHistogram>(
        histograms_, name, labels, [&](const auto& label_map) {
          auto& family = prometheus::BuildHistogram()
                             .Name(exposed_name(name))
                             .Help(std::string(help))
                             .Register(registry_);
          return &family.Add(label_map, prometheus::Histogram::BucketBoundaries{
                                            0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
                                            1, 2.5, 5, 10, 30, 60});
        });
  }

  void on_collect(std::function<void()> refresh) override {
    const std::lock_guard lock(mutex_);
    refreshes_.push_back(std::move(refresh));
  }

  std::string text() override {
    std::vector<std::function<void()>> refreshes;
    {
      const std::lock_guard lock(mutex_);
      refreshes = refreshes_;
    }
    for (const auto& refresh : refreshes) refresh();
    return prometheus::TextSerializer().Serialize(registry_.Collect());
  }

 private:
  using Key = std::pair<std::string, std::map<std::string, std::string>>;

  template <typename Port, typename Adapter, typename Make>
  Port& find(std::map<Key, std::unique_ptr<Port>>& known, std::string_view name,
             MetricLabels labels, const Make& make) {
    std::map<std::string, std::string> label_map(labels.begin(), labels.end());
    const std::lock_guard lock(mutex_);
    auto& entry = known[Key(name, label_map)];
    if (!entry) entry = std::make_unique<Adapter>(*make(label_map));
    return *entry;
  }

  std::mutex mutex_;
  prometheus::Registry registry_{prometheus::Registry::InsertBehavior::Merge};
  std::map<Key, std::unique_ptr<Counter>> counters_;
  std::map<Key, std::unique_ptr<Gauge>> gauges_;
  std::map<Key, std::unique_ptr<Histogram>> histograms_;
  std::vector<std::function<void()>> refreshes_;
};

}  // namespace

std::unique_ptr<Metrics> make_metrics() {
  return std::make_unique<PrometheusMetrics>();
}

}  // namespace isthmus
