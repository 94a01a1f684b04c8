{{/*
Multi-window, multi-burn-rate alerts (Google's SRE Workbook, chapter 5) on two objectives, under the names and labels
that Sloth uses, so that dashboards made for it work.

Errors are the service's own; what callers did wrong is neither an error nor a request. Where nothing was asked there is
no ratio, rather than NaN, which would stay in the average of 30 days. An alert takes both many requests and several
failures: one failure of a hundred requests is ten times the budget of 99.9 percent, and no reason to wake anybody.
*/}}
{{- define "serving.rules.availability" -}}
{{- $asked := include "serving.rules.asked" . -}}
{{- $bad := printf "sum(rate(api_requests_total{%s,class=\"server\"}[WINDOW]))" $asked -}}
{{- $all := printf "sum(rate(api_requests_total{%s,class!=\"client\"}[WINDOW]))" $asked -}}
{{- $count := printf "sum(increase(api_requests_total{%s,class!=\"client\"}[WINDOW]))" $asked -}}
{{- $failures := printf "sum(increase(api_requests_total{%s,class=\"server\"}[WINDOW]))" $asked -}}
{{- include "serving.rules.slo" (dict "root" .root "slo" "availability" "title" "Availability" "objective" .root.Values.slo.availability.objective "bad" $bad "all" $all "count" $count "failures" $failures "what" "requests fail") -}}
{{- end -}}

{{- define "serving.rules.latency" -}}
{{- $own := include "serving.rules.own" . -}}
{{- $threshold := toJson .root.Values.slo.latency.threshold -}}
{{- $le := include "serving.rules.edge" .root.Values.slo.latency.threshold -}}
{{- $all := printf "sum(rate(api_request_duration_seconds_count{%s,route!=\"other\"}[WINDOW]))" $own -}}
{{- $bad := printf "(%s - sum(rate(api_request_duration_seconds_bucket{%s,route!=\"other\",le=\"%s\"}[WINDOW])))" $all $own $le -}}
{{- $count := printf "sum(increase(api_request_duration_seconds_count{%s,route!=\"other\"}[WINDOW]))" $own -}}
{{- $failures := printf "(%s - sum(increase(api_request_duration_seconds_bucket{%s,route!=\"other\",le=\"%s\"}[WINDOW])))" $count $own $le -}}
{{- include "serving.rules.slo" (dict "root" .root "slo" "latency" "title" "Latency" "objective" .root.Values.slo.latency.objective "bad" $bad "all" $all "count" $count "failures" $failures "what" (printf "answers take longer than %s s" $threshold)) -}}
{{- end -}}

{{- define "serving.rules.slo" -}}
{{- $root := .root -}}
{{- $budget := subf 1 (divf (float64 .objective) 100) | printf "%.6g" -}}
{{- $service := printf "%s/%s" $root.Release.Namespace $root.Release.Name -}}
{{- $labels := dict "sloth_id" (printf "%s-%s" $service .slo) "sloth_service" $service "sloth_slo" .slo -}}
{{- $own := printf "%s,sloth_slo=\"%s\"" (include "serving.rules.own" .) .slo -}}
rules:
  {{- range $name, $seconds := dict "5m" 300 "30m" 1800 "1h" 3600 "2h" 7200 "6h" 21600 "1d" 86400 "3d" 259200 }}
  {{- $time := include "serving.rules.time" (dict "root" $root "seconds" $seconds) }}
  {{- $expr := printf "%s\n/\n(%s > 0)" (replace "WINDOW" $time $.bad) (replace "WINDOW" $time $.all) }}
  {{- include "serving.rules.record" (dict "root" $root "name" (printf "slo:sli_error:ratio_rate%s" $name) "expr" $expr "labels" (merge (dict "sloth_window" $name) $labels)) | nindent 2 }}
  {{- end }}
  {{- $month := include "serving.rules.time" (dict "root" $root "seconds" 2592000) }}
  {{- $expr := printf "avg_over_time(slo:sli_error:ratio_rate5m{%s}[%s])" $own $month }}
  {{- include "serving.rules.record" (dict "root" $root "name" "slo:sli_error:ratio_rate30d" "expr" $expr "labels" (merge (dict "sloth_window" "30d") $labels)) | nindent 2 }}
  {{- range list
    (list "slo:objective:ratio" (printf "vector(%s)" (divf (float64 .objective) 100 | printf "%.6g")))
    (list "slo:error_budget:ratio" (printf "vector(%s)" $budget))
    (list "slo:time_period:days" "vector(30)")
    (list "slo:current_burn_rate:ratio" (printf "max without (sloth_window) (slo:sli_error:ratio_rate5m{%s}) / %s" $own $budget))
    (list "slo:period_burn_rate:ratio" (printf "max without (sloth_window) (slo:sli_error:ratio_rate30d{%s}) / %s" $own $budget))
    (list "slo:period_error_budget_remaining:ratio" (printf "1 - slo:period_burn_rate:ratio{%s}" $own))
  }}
  {{- include "serving.rules.record" (dict "root" $root "name" (first .) "expr" (last .) "labels" $labels) | nindent 2 }}
  {{- end }}
  {{- include "serving.rules.record" (dict "root" $root "name" "sloth_slo_info" "expr" "vector(1)" "labels" (merge (dict "sloth_mode" "chart" "sloth_spec" "prometheus/v1" "sloth_version" $root.Chart.Version "sloth_objective" (toJson .objective)) $labels)) | nindent 2 }}
  {{- range $alert, $severity := dict "BurnFast" "page" "BurnSlow" "ticket" }}
  {{- $burns := list }}
  {{- range include "serving.rules.burns" (dict "objective" $.objective "alert" $alert) | fromJsonArray }}
  {{- $limit := printf "(%v * %s)" .factor $budget }}
  {{- $window := include "serving.rules.time" (dict "root" $root "seconds" .seconds) }}
  {{- $count := replace "WINDOW" $window $.count }}
  {{- $failures := replace "WINDOW" $window $.failures }}
  {{- $long := printf "max without (sloth_window) (slo:sli_error:ratio_rate%s{%s} > %s)" .long $own $limit }}
  {{- $short := printf "max without (sloth_window) (slo:sli_error:ratio_rate%s{%s} > %s)" .short $own $limit }}
  {{- $burns = append $burns (printf "(\n  %s\n  and\n  %s\n  and on ()\n  %s >= %v\n  and on ()\n  %s >= %v\n)" $long $short $count (int64 $root.Values.prometheusRule.minimumRequests) $failures (int64 $root.Values.prometheusRule.minimumFailures)) }}
  {{- end }}
  {{- if $burns }}
  {{- $description := printf "The error budget of the objective of %s percent does not last: {{ $value | humanizePercentage }} of all %s." (toJson $.objective) $.what }}
  {{- $alerting := dict "root" $root "name" (printf "Model%s%s" $.title $alert) "expr" (join "\nor\n" $burns) "severity" $severity "labels" (dict "sloth_id" (get $labels "sloth_id") "sloth_service" $service "sloth_slo" $.slo "sloth_severity" $severity) }}
  {{- $_ := set $alerting "summary" (printf "%s: %s (%s)." $service $.what (ternary "fast burn" "slow burn" (eq $alert "BurnFast"))) }}
  {{- $_ := set $alerting "description" $description }}
  {{- include "serving.rules.alert" $alerting | nindent 2 }}
  {{- end }}
  {{- end }}
{{- end -}}
