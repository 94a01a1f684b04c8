{{/*
The Deployment of a track. It has no replicas: the HorizontalPodAutoscaler owns them, and a number here would be
written back by every upgrade. It has no checksum annotation either: what a pod reads once, at its start, is in the
template itself, so that a changed setting restarts the pods and `kubectl rollout undo` brings the old one back; what
is mounted are Secrets, which the server reads anew when they change.
*/}}
{{- define "serving.deployment" -}}
{{- $rollout := .root.Values.rollout -}}
{{- $probe := .root.Values.probes.startup -}}
{{- $start := add (mul $probe.periodSeconds $probe.failureThreshold) $rollout.minReadySeconds -}}
{{- if le (int64 $rollout.progressDeadlineSeconds) $start -}}
{{- fail (printf "rollout.progressDeadlineSeconds is %d, and a pod may take %d s to start (probes.startup) and to stay ready (rollout.minReadySeconds): it must be more." (int64 $rollout.progressDeadlineSeconds) $start) -}}
{{- end -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  {{- include "serving.metadata" . | nindent 2 }}
spec:
  minReadySeconds: {{ int64 $rollout.minReadySeconds }}
  progressDeadlineSeconds: {{ int64 $rollout.progressDeadlineSeconds }}
  revisionHistoryLimit: {{ int64 $rollout.revisionHistoryLimit }}
  selector:
    matchLabels:
      {{- include "serving.selector" . | nindent 6 }}
  strategy:
    type: RollingUpdate
    rollingUpdate:
      maxSurge: {{ $rollout.maxSurge | toJson }}
      maxUnavailable: 0
  template:
    metadata:
      labels:
        {{- include "serving.podLabels" . | nindent 8 }}
      {{- with .root.Values.podAnnotations }}
      annotations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      {{- include "serving.pod" . | nindent 6 }}
{{- end -}}
