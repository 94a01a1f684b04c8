{{/*
Population stability index of each monitored column and of the score, of each version, over an hour and a day, from the
bin counters and reference gauges of the pods. docs/drift.md has the formulas, their sources and what they miss.

Counts and expectations are both at least half a request, so that a bin that is empty on one side has a finite part in
the index. The bound is the 1 - 3e-6 quantile of the index when nothing drifted: chi-square by Wilson and Hilferty, so
that little traffic does not look like drift.
*/}}
{{- define "serving.rules.drift" -}}
{{- $root := .root -}}
{{- $own := include "serving.rules.own" . -}}
{{- $least := int64 .root.Values.prometheusRule.minimumObservations -}}
{{- $z := "4.5" -}}
rules:
  {{- range $what := list
    (dict "metric" "model_input" "level" "column" "by" "model, version, column" "title" "Input" "of" "column {{ $labels.column }} of version {{ $labels.version }}")
    (dict "metric" "model_score" "level" "model" "by" "model, version" "title" "Score" "of" "score of version {{ $labels.version }}")
  }}
  {{- $bins := printf "max by (%s, bin) (%s_reference_ratio{%s})" .by .metric $own }}
  {{- $degrees := printf "%s:%s_bins:degrees" .level .metric }}
  {{- include "serving.rules.record" (dict "root" $root "name" $degrees "expr" (printf "clamp_min(count by (%s) (%s > 0) - 1, 1)" .by $bins)) | nindent 2 }}
  {{- range $window, $seconds := dict "1h" 3600 "24h" 86400 }}
  {{- $labels := dict "window" $window }}
  {{- $time := include "serving.rules.time" (dict "root" $root "seconds" $seconds) }}
  {{- $here := printf "{%s,window=\"%s\"}" $own $window }}
  {{- $counted := printf "bin:%s_observations:increase" $what.metric }}
  {{- $expected := printf "bin:%s_expected:increase" $what.metric }}
  {{- $seen := printf "%s:%s_observations:increase" $what.level $what.metric }}
  {{- $psi := printf "%s:%s_drift:psi" $what.level $what.metric }}
  {{- $bound := printf "%s:%s_drift:bound" $what.level $what.metric }}
  {{- $expr := printf "sum by (%s, bin) (increase(%s_bin_total{%s}[%s]))" $what.by $what.metric $own $time }}
  {{- include "serving.rules.record" (dict "root" $root "name" $counted "expr" $expr "labels" $labels) | nindent 2 }}
  {{- $expr := printf "sum without (bin) (%s%s)" $counted $here }}
  {{- include "serving.rules.record" (dict "root" $root "name" $seen "expr" $expr "labels" $labels) | nindent 2 }}
  {{- $expr := printf "%s\n* on (%s) group_left ()\n%s%s" $bins $what.by $seen $here }}
  {{- include "serving.rules.record" (dict "root" $root "name" $expected "expr" $expr "labels" $labels) | nindent 2 }}
  {{- $c := printf "clamp_min(%s%s, 0.5)" $counted $here }}
  {{- $e := printf "clamp_min(%s%s, 0.5)" $expected $here }}
  {{- $expr := printf "sum without (bin) ((%s - %s) * ln(%s / %s))\n/\n(%s%s > 0)" $c $e $c $e $seen $here }}
  {{- include "serving.rules.record" (dict "root" $root "name" $psi "expr" $expr "labels" $labels) | nindent 2 }}
  {{- $k := printf "%s{%s}" $degrees $own }}
  {{- $expr := printf "(%s * (1 - 2 / (9 * %s) + %s * sqrt(2 / (9 * %s))) ^ 3)\n/ on (%s)\n(%s%s > 0)" $k $k $z $k $what.by $seen $here }}
  {{- include "serving.rules.record" (dict "root" $root "name" $bound "expr" $expr "labels" $labels) | nindent 2 }}
  {{- range $level, $least_index := dict "Drift" $root.Values.slo.drift.floor "DriftSevere" $root.Values.slo.drift.ceiling }}
  {{- $alert := dict "root" $root "name" (printf "Model%s%s" $what.title $level) "labels" $labels "for" (div $seconds 6) }}
  {{- $_ := set $alert "severity" (ternary "ticket" "page" (eq $level "Drift")) }}
  {{- $_ := set $alert "expr" (printf "%s%s > %s%s\nand\n%s%s > %s\nand\n%s%s >= %d" $psi $here $bound $here $psi $here (toJson $least_index) $seen $here $least) }}
  {{- $_ := set $alert "summary" (printf "%s/%s: the %s %s." $root.Release.Namespace $root.Release.Name $what.of (ternary "drifts" "drifts far" (eq $level "Drift"))) }}
  {{- $_ := set $alert "description" (printf `The population stability index of the last %s is {{ $value | humanize }}, more than chance makes of so many requests, and more than %s.` $window (toJson $least_index)) }}
  {{- include "serving.rules.alert" $alert | nindent 2 }}
  {{- end }}
  {{- end }}
  {{- end }}
{{- end -}}
