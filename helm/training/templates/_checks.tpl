{{/* What the schema cannot say of one value alone: values without effect, and those that cannot work together. */}}
{{- define "training.checks" -}}
{{- $mlflow := .Values.mlflow -}}
{{- if $mlflow.enabled -}}
{{- with $mlflow.external.existingSecret -}}
{{- fail "mlflow.external.existingSecret is for another server, and mlflow.enabled runs one here that asks for no password: switch one of them off." -}}
{{- end -}}
{{- if not $mlflow.s3.bucket -}}
{{- range $name := list "endpoint" "region" "existingSecret" -}}
{{- if get $mlflow.s3 $name -}}
{{- fail (printf "mlflow.s3.%s has no effect without mlflow.s3.bucket: name the bucket, or leave both empty." $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $mlflow.volume.existingClaim (not (include "training.onVolume" .)) -}}
{{- fail "mlflow.volume.existingClaim has no effect, since mlflow.database and mlflow.s3 keep everything: leave it empty." -}}
{{- end -}}
{{- $least := mul $mlflow.workers 400 -}}
{{- if lt (include "training.mebibytes" $mlflow.resources.limits.memory | float64) (float64 $least) -}}
{{- fail (printf "mlflow.resources.limits.memory is %s, and mlflow.workers is %d: a worker takes up to 400 MiB, so give %dMi or more." $mlflow.resources.limits.memory (int64 $mlflow.workers) $least) -}}
{{- end -}}
{{- else -}}
{{- $unused := dict "mlflow.database.existingSecret" $mlflow.database.existingSecret "mlflow.s3.bucket" $mlflow.s3.bucket "mlflow.s3.endpoint" $mlflow.s3.endpoint "mlflow.s3.region" $mlflow.s3.region "mlflow.s3.existingSecret" $mlflow.s3.existingSecret "mlflow.volume.existingClaim" $mlflow.volume.existingClaim "mlflow.allowedHosts" $mlflow.allowedHosts "serviceAccount.annotations" .Values.serviceAccount.annotations "networkPolicy.mlflowPorts" .Values.networkPolicy.mlflowPorts "networkPolicy.clients" (include "training.peers" .Values.networkPolicy.clients) -}}
{{- range $name, $value := $unused -}}
{{- if $value -}}
{{- fail (printf "%s has no effect with mlflow.enabled off, since it is for the server that would run here: leave it empty." $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if eq (lower .Values.training.timeZone) "local" -}}
{{- fail "training.timeZone is Local, which is each node's own: name a time zone, such as Europe/Berlin." -}}
{{- end -}}
{{- end -}}

{{/* MiB of an amount of bytes. */}}
{{- define "training.mebibytes" -}}
{{- $number := regexFind "^[0-9.]+" . -}}
{{- $units := dict "" 1 "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- divf (mulf $number (get $units (trimPrefix $number .))) 1048576 -}}
{{- end -}}
