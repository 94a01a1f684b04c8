{{/* What a user notices within minutes, whatever is left of the month's budget. */}}
{{- define "serving.rules.traffic" -}}
{{- $root := .root -}}
{{- $slo := .root.Values.slo -}}
{{- $own := include "serving.rules.own" . -}}
{{- $asked := include "serving.rules.asked" . -}}
{{- $recent := include "serving.rules.time" (dict "root" .root "seconds" 300) -}}
{{- $hour := include "serving.rules.time" (dict "root" .root "seconds" 3600) -}}
{{- $day := include "serving.rules.time" (dict "root" .root "seconds" 86400) -}}
{{- $enough := printf "and on () sum(increase(api_requests_total{%s}[%s])) >= %v" $asked $hour (int64 .root.Values.prometheusRule.minimumRequests) -}}
{{- $several := printf "and on () sum(increase(api_requests_total{%s,class=\"server\"}[%s])) >= %v" $asked $hour (int64 .root.Values.prometheusRule.minimumFailures) -}}
{{- $errors := include "serving.rules.share" $slo.errors.ratio -}}
{{- $clients := include "serving.rules.share" $slo.errors.clients -}}
rules:
  {{- $expr := printf "sum(rate(api_requests_total{%s,class=\"server\"}[%s]))\n/\n(sum(rate(api_requests_total{%s,class!=\"client\"}[%s])) > 0)" $asked $recent $asked $recent }}
  {{- include "serving.rules.record" (dict "root" $root "name" "release:api_errors:ratio_rate5m" "expr" $expr) | nindent 2 }}
  {{- $expr := printf "sum(rate(api_requests_total{%s,class=\"client\"}[%s]))\n/\n(sum(rate(api_requests_total{%s}[%s])) > 0)" $asked $recent $asked $recent }}
  {{- include "serving.rules.record" (dict "root" $root "name" "release:api_client_errors:ratio_rate5m" "expr" $expr) | nindent 2 }}
  {{- $expr := printf "histogram_quantile(0.95, sum by (le) (rate(api_request_duration_seconds_bucket{%s,route!=\"other\"}[%s]))) > 0" $own $recent }}
  {{- include "serving.rules.record" (dict "root" $root "name" "release:api_request_duration_seconds:p95_rate5m" "expr" $expr) | nindent 2 }}
  {{- $timed := printf "%s,route!=\"other\"" $own }}
  {{- $expr := printf "1 - sum by (track) (rate(api_request_duration_seconds_bucket{%s,le=\"%s\"}[%s]))\n/\n(sum by (track) (rate(api_request_duration_seconds_count{%s}[%s])) > 0)" $timed (include "serving.rules.edge" $slo.latency.threshold) $recent $timed $recent }}
  {{- include "serving.rules.record" (dict "root" $root "name" "track:api_slow_answers:ratio_rate5m" "expr" $expr) | nindent 2 }}
  {{- $alert := dict "root" $root "severity" "page" "for" 300 }}
  {{- $_ := set $alert "name" "ModelErrorRatioHigh" }}
  {{- $_ := set $alert "expr" (printf "release:api_errors:ratio_rate5m{%s} > %s\n%s\n%s" $own $errors $enough $several) }}
  {{- $_ := set $alert "summary" (printf "%s/%s fails more than %s percent of its requests." $root.Release.Namespace $root.Release.Name (toJson $slo.errors.ratio)) }}
  {{- $_ := set $alert "description" `{{ $value | humanizePercentage }} of the requests of the last five minutes failed by the service's own fault.` }}
  {{- include "serving.rules.alert" $alert | nindent 2 }}
  {{- $_ := set $alert "name" "ModelLatencyP95High" }}
  {{- $_ := set $alert "expr" (printf "release:api_request_duration_seconds:p95_rate5m{%s} > %s\n%s" $own (toJson $slo.latency.p95) $enough) }}
  {{- $_ := set $alert "summary" (printf "%s/%s: a twentieth of the answers takes longer than %s s." $root.Release.Namespace $root.Release.Name (toJson $slo.latency.p95)) }}
  {{- $_ := set $alert "description" `The 95th percentile of the last five minutes is {{ $value | humanizeDuration }}.` }}
  {{- include "serving.rules.alert" $alert | nindent 2 }}
  {{- $_ := set $alert "name" "ModelClientErrorsSudden" }}
  {{- $_ := set $alert "severity" "ticket" }}
  {{- $share := printf "release:api_client_errors:ratio_rate5m{%s}" $own }}
  {{- $_ := set $alert "expr" (printf "%s > %s\nand\n%s > 2 * (avg_over_time(%s[%s] offset %s) or 0 * %s)\n%s" $share $clients $share $share $day $hour $share $enough) }}
  {{- $_ := set $alert "summary" (printf "%s/%s refuses many more requests of its callers than before." $root.Release.Namespace $root.Release.Name) }}
  {{- $_ := set $alert "description" `{{ $value | humanizePercentage }} of the requests of the last five minutes were refused for what they ask, more than twice the share of the day before.` }}
  {{- include "serving.rules.alert" $alert | nindent 2 }}
{{- end -}}
