{{/*
Live accuracy of a day from feedback, of each version, with Wilson's interval of 95 percent (Wilson 1927), from counters:
a ratio of each pod could not be averaged. A draw counts for one half.
*/}}
{{- define "serving.rules.accuracy" -}}
{{- $root := .root -}}
{{- $slo := .root.Values.slo.accuracy -}}
{{- $own := include "serving.rules.own" . -}}
{{- $day := include "serving.rules.time" (dict "root" .root "seconds" 86400) -}}
{{- $told := printf "sum by (model, version) (increase(model_feedback_total{%s,result=~\"%%s\"}[%s]))" $own $day -}}
{{- $all := printf "model_accuracy:outcomes{%s}" $own -}}
{{- $p := printf "model_accuracy{%s}" $own -}}
rules:
  {{- include "serving.rules.record" (dict "root" $root "name" "model_accuracy:outcomes" "expr" (printf $told "correct|wrong|half")) | nindent 2 }}
  {{- $expr := printf "clamp_max((%s + 0.5 * %s) / on (model, version) (%s > 0), 1)" (printf $told "correct") (printf $told "half") $all }}
  {{- include "serving.rules.record" (dict "root" $root "name" "model_accuracy" "expr" $expr) | nindent 2 }}
  {{- $half := printf "1.96 * sqrt(%s * (1 - %s) / %s + 0.9604 / %s ^ 2)" $p $p $all $all }}
  {{- range $name, $sign := dict "lower" "-" "upper" "+" }}
  {{- $expr := printf "(%s + 1.9208 / %s %s %s)\n/\n(1 + 3.8416 / %s)" $p $all $sign $half $all }}
  {{- include "serving.rules.record" (dict "root" $root "name" (printf "model_accuracy:%s" $name) "expr" $expr) | nindent 2 }}
  {{- end }}
  {{- $expr := printf "sum by (model, version) (increase(model_feedback_brier_sum{%s}[%s]))\n/ on (model, version)\n(%s > 0)" $own $day $all }}
  {{- include "serving.rules.record" (dict "root" $root "name" "model_brier" "expr" $expr) | nindent 2 }}
  {{- $alert := dict "root" $root "for" 600 }}
  {{- $_ := set $alert "name" "ModelAccuracyLow" }}
  {{- $_ := set $alert "severity" "page" }}
  {{- $_ := set $alert "expr" (printf "model_accuracy:upper{%s} < %s\nand\n%s >= %v" $own (include "serving.rules.share" $slo.floor) $all (int64 $slo.outcomes)) }}
  {{- $_ := set $alert "summary" (printf "%s/%s: version {{ $labels.version }} is right less often than in %s percent." $root.Release.Namespace $root.Release.Name (toJson $slo.floor)) }}
  {{- $_ := set $alert "description" `The outcomes of the last day put its accuracy below {{ $value | humanizePercentage }}, with 97.5 percent confidence.` }}
  {{- include "serving.rules.alert" $alert | nindent 2 }}
  {{- $_ := set $alert "name" "ModelAccuracyBelowOffline" }}
  {{- $_ := set $alert "severity" "ticket" }}
  {{- $_ := set $alert "expr" (printf "model_accuracy:upper{%s}\n< on (model, version)\n(max by (model, version) (model_offline_accuracy_ratio{%s}) - %s)\nand on (model, version)\n%s >= %v" $own $own (include "serving.rules.share" $slo.margin) $all (int64 $slo.outcomesBelowOffline)) }}
  {{- $_ := set $alert "summary" (printf "%s/%s: version {{ $labels.version }} is right less often than it was before its release." $root.Release.Namespace $root.Release.Name) }}
  {{- $_ := set $alert "description" (printf `The outcomes of the last day put its accuracy below {{ $value | humanizePercentage }}, more than %s points under its offline figure.` (toJson $slo.margin)) }}
  {{- include "serving.rules.alert" $alert | nindent 2 }}
{{- end -}}
