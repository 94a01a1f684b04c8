{{/* URL of the tracking server: ours by its Service, or somebody else's. */}}
{{- define "training.trackingUri" -}}
{{- $mlflow := .Values.mlflow -}}
{{- if and $mlflow.enabled $mlflow.external.uri -}}
{{- fail "mlflow.external.uri names another server, and mlflow.enabled would run one here as well: switch one of them off." -}}
{{- end -}}
{{- if $mlflow.enabled -}}
http://{{ include "training.name" (dict "root" $ "suffix" "-mlflow") }}.{{ .Release.Namespace }}.svc:5000
{{- else -}}
{{- required "mlflow.enabled is off, and mlflow.external.uri names no other server." $mlflow.external.uri -}}
{{- end -}}
{{- end -}}

{{/* What MLflow's client reads, in jobs and in the test. */}}
{{- define "training.trackingEnvironment" -}}
{{- $external := .Values.mlflow.external -}}
- name: MLFLOW_TRACKING_URI
  value: {{ include "training.trackingUri" . | quote }}
- name: MLFLOW_DISABLE_TELEMETRY
  value: "true"
{{- if and (not .Values.mlflow.enabled) $external.existingSecret }}
{{- range $name := list "username" "password" }}
- name: MLFLOW_TRACKING_{{ upper $name }}
  valueFrom:
    secretKeyRef:
      name: {{ $external.existingSecret | quote }}
      key: {{ get $external $name | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Not empty where the server keeps anything on a volume: SQLite's file, or the artifacts. */}}
{{- define "training.onVolume" -}}
{{- $mlflow := .Values.mlflow -}}
{{- if and $mlflow.enabled (not (and $mlflow.database.existingSecret $mlflow.s3.bucket)) }}yes{{ end -}}
{{- end -}}

{{/* What the server reads. It has jobs in the background of its own, for what is none of ours. */}}
{{- define "training.serverEnvironment" -}}
{{- $mlflow := .Values.mlflow -}}
- name: MLFLOW_BACKEND_STORE_URI
  {{- if $mlflow.database.existingSecret }}
  valueFrom:
    secretKeyRef:
      name: {{ $mlflow.database.existingSecret | quote }}
      key: {{ $mlflow.database.key | quote }}
  {{- else }}
  value: sqlite:////mlflow/mlflow.db
  {{- end }}
- name: POD_IP
  valueFrom:
    fieldRef:
      fieldPath: status.podIP
- name: MLFLOW_SERVER_ALLOWED_HOSTS
  value: {{ include "training.allowedHosts" . | quote }}
- name: MLFLOW_SERVER_ENABLE_JOB_EXECUTION
  value: "false"
- name: MLFLOW_DISABLE_TELEMETRY
  value: "true"
- name: DO_NOT_TRACK
  value: "1"
{{- if $mlflow.s3.bucket }}
{{- with $mlflow.s3.endpoint }}
- name: MLFLOW_S3_ENDPOINT_URL
  value: {{ . | quote }}
{{- end }}
{{- with $mlflow.s3.region }}
- name: AWS_DEFAULT_REGION
  value: {{ . | quote }}
{{- end }}
{{- if $mlflow.s3.existingSecret }}
{{- range $name, $key := dict "AWS_ACCESS_KEY_ID" $mlflow.s3.accessKeyId "AWS_SECRET_ACCESS_KEY" $mlflow.s3.secretAccessKey }}
- name: {{ $name }}
  valueFrom:
    secretKeyRef:
      name: {{ $mlflow.s3.existingSecret | quote }}
      key: {{ $key | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/*
MLflow refuses a Host header that it does not know, against web pages that have their own name point here. Known are the
names of the Service, with and without its port; the pod's address, which the API server's proxy asks by; and this
machine, which a port-forward asks by.
*/}}
{{- define "training.allowedHosts" -}}
{{- $name := include "training.name" (dict "root" $ "suffix" "-mlflow") -}}
{{- $hosts := list "localhost" "localhost:*" "127.0.0.1" "127.0.0.1:*" "$(POD_IP)" "$(POD_IP):5000" -}}
{{- range $end := list "" (printf ".%s" .Release.Namespace) (printf ".%s.svc" .Release.Namespace) (printf ".%s.svc.cluster.local" .Release.Namespace) -}}
{{- $hosts = concat $hosts (list (printf "%s%s" $name $end) (printf "%s%s:5000" $name $end)) -}}
{{- end -}}
{{- concat $hosts .Values.mlflow.allowedHosts | join "," -}}
{{- end -}}
