{{/* Whether pods are there, and as they should be; without kube-state-metrics, from the pods' own word and the values. */}}
{{- define "serving.rules.health" -}}
{{- $root := .root -}}
{{- $values := .root.Values -}}
{{- $own := include "serving.rules.own" . -}}
{{- $name := printf "%s/%s" .root.Release.Namespace .root.Release.Name -}}
{{- $hour := include "serving.rules.time" (dict "root" .root "seconds" 3600) -}}
{{- $min := int64 $values.autoscaling.min -}}
{{- $max := int64 $values.autoscaling.max -}}
{{- $alerts := list
  (dict "name" "ModelMetricsAbsent" "severity" "page" "for" 300
    "expr" (printf "absent(up{%s})" $own)
    "summary" (printf "%s: no metrics arrive." $name)
    "description" "Prometheus has no target of this release, so no other alert of it can fire.")
  (dict "name" "ModelTargetDown" "severity" "page" "for" 300
    "expr" (printf "up{%s} == 0" $own)
    "summary" (printf "%s: {{ $labels.pod }} gives no metrics." $name)
    "description" "The pod does not answer on its admin port for five minutes: it does not start, hangs, or cannot be reached.")
  (dict "name" "ModelPodsNotReady" "severity" "page" "for" 300
    "expr" (printf "(sum(model_info{%s,track=\"stable\"}) or 0 * count(up{%s,track=\"stable\"})) < %d" $own $own $min)
    "summary" (printf "%s: {{ $value }} of at least %d pods have their model." $name $min)
    "description" "Fewer pods than autoscaling.min hold a model that can answer.")
  (dict "name" "ModelCrashLooping" "severity" "page"
    "expr" (printf "max by (pod) (changes(process_start_time_seconds{%s}[%s])) >= 3\nor\ncount by (pod) (count by (pod, id) (last_over_time(container_start_time_seconds{%s,id!=\"\"}[%s]) %s)) > 3" $own $hour (include "serving.rules.container" .) $hour (include "serving.rules.itsPods" .))
    "summary" (printf "%s: {{ $labels.pod }} is started again and again." $name)
    "description" "Its container was started anew three times or more within an hour.")
  (dict "name" "ModelCanaryStalled" "severity" "ticket" "for" (mul (int64 $values.prometheusRule.canaryHours) 3600)
    "expr" (printf "count(up{%s,track=\"canary\"}) > 0" $own)
    "summary" (printf "%s: a canary runs for more than %d hours." $name (int64 $values.prometheusRule.canaryHours))
    "description" "A rollout was neither promoted nor aborted.")
  (dict "name" "ModelVersionsMixed" "severity" "ticket" "for" (mul (int64 $values.prometheusRule.mixedMinutes) 60)
    "expr" (printf "count by (track) (count by (track, version) (model_info{%s})) > 1" $own)
    "summary" (printf "%s: pods of the {{ $labels.track }} track hold {{ $value }} versions." $name)
    "description" (printf "A change of the image has not come to its end within %d minutes." (int64 $values.prometheusRule.mixedMinutes)))
  (dict "name" "ModelTooOld" "severity" "ticket"
    "expr" (printf "time() - max by (model, version) (model_created_timestamp_seconds{%s}) > %s * 86400" $own (toJson $values.slo.age.days))
    "summary" (printf "%s: version {{ $labels.version }} was trained more than %s days ago." $name (toJson $values.slo.age.days))
    "description" "Its age is {{ $value | humanizeDuration }}.")
  (dict "name" "ModelKeysNotReloaded" "severity" "ticket" "for" 300
    "expr" (printf "min by (pod) (api_keys_reload_success{%s}) == 0\nor\nmin by (pod) (prediction_keys_reload_success{%s}) == 0" $own $own)
    "summary" (printf "%s: {{ $labels.pod }} could not read its keys anew." $name)
    "description" "A file of API keys, or of keys that sign prediction ids, was not usable when last read; the older keys still hold.")
-}}
{{- if lt $min $max -}}
{{- $alerts = append $alerts (dict "name" "ModelAutoscalerAtMaximum" "severity" "ticket" "for" 900
    "expr" (printf "count(up{%s,track=\"stable\"} == 1) >= %d" $own $max)
    "summary" (printf "%s: all %d pods that autoscaling.max allows are there." $name $max)
    "description" "For fifteen minutes there has been no room to grow.") -}}
{{- end -}}
rules:
  {{- include "serving.rules.record" (dict "root" $root "name" "release:canary:weight" "expr" (printf "vector(%d)" (int64 $values.canary.weight))) | nindent 2 }}
  {{- range $name, $pods := dict "min" $min "max" $max }}
  {{- include "serving.rules.record" (dict "root" $root "name" (printf "release:pods:%s" $name) "expr" (printf "vector(%d)" $pods)) | nindent 2 }}
  {{- end }}
  {{- range $alerts }}
  {{- include "serving.rules.alert" (merge (dict "root" $root) .) | nindent 2 }}
  {{- end }}
{{- end -}}

{{/*
What pods use of their limits, by the kubelet's word, or else by their own. The kubelet may be scraped twice, at cAdvisor
and at /metrics/resource, which name no ids of containers, so its words are not added up.
*/}}
{{- define "serving.rules.resources" -}}
{{- $root := .root -}}
{{- $values := .root.Values -}}
{{- $limits := $values.resources.limits -}}
{{- $own := include "serving.rules.own" . -}}
{{- $container := include "serving.rules.container" . -}}
{{- $its := include "serving.rules.itsPods" . -}}
{{- $name := printf "%s/%s" .root.Release.Namespace .root.Release.Name -}}
{{- $recent := include "serving.rules.time" (dict "root" .root "seconds" 300) -}}
{{- $share := include "serving.rules.share" $values.slo.saturation.percent -}}
{{- $alerts := list
  (dict "name" "ModelMemoryHigh" "severity" "page" "for" 300 "what" "memory" "limit" $limits.memory
    "use" (printf "(\n  max by (pod) (container_memory_working_set_bytes{%s} %s)\n  or\n  max by (pod) (process_resident_memory_bytes{%s})\n)" $container $its $own))
  (dict "name" "ModelDiskHigh" "severity" "ticket" "for" 300 "what" "disk" "limit" $values.scratchSize
    "use" (printf "max by (pod) (process_scratch_bytes{%s})" $own))
-}}
{{- if $limits.cpu -}}
{{- $alerts = append $alerts (dict "name" "ModelCpuHigh" "severity" "ticket" "for" 900 "what" "CPU" "limit" $limits.cpu
    "use" (printf "(\n  max by (pod) (rate(container_cpu_usage_seconds_total{%s}[%s]) %s)\n  or\n  sum by (pod) (rate(process_cpu_seconds_total{%s}[%s]))\n)" $container $recent $its $own $recent)) -}}
{{- end -}}
rules:
  {{- range $alerts }}
  {{- $amount := include "serving.rules.amount" (dict "quantity" .limit) }}
  {{- include "serving.rules.record" (dict "root" $root "name" "release:resource:limit" "expr" (printf "vector(%s)" $amount) "labels" (dict "resource" (lower .what))) | nindent 2 }}
  {{- $alert := dict "root" $root "name" .name "severity" .severity "for" .for }}
  {{- $_ := set $alert "expr" (printf "%s / %s > %s" .use $amount $share) }}
  {{- $_ := set $alert "summary" (printf "%s: {{ $labels.pod }} uses more than %s percent of its %s." $name (toJson $values.slo.saturation.percent) .what) }}
  {{- $_ := set $alert "description" (printf "It uses {{ $value | humanizePercentage }} of the limit of %v." .limit) }}
  {{- include "serving.rules.alert" $alert | nindent 2 }}
  {{- end }}
{{- end -}}
