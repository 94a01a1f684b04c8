{{- define "serving.autoscaler" -}}
{{- $scaling := .autoscaling -}}
{{- if gt (int64 $scaling.min) (int64 $scaling.max) -}}
{{- $at := $scaling.at | default "" -}}
{{- fail (printf "%sautoscaling.min (%d) is more than %sautoscaling.max (%d)." $at (int64 $scaling.min) $at (int64 $scaling.max)) -}}
{{- end -}}
{{- if not (or $scaling.cpu.enabled $scaling.inFlight.enabled) -}}
{{- fail "The autoscaler has nothing to go by: switch on autoscaling.cpu or autoscaling.inFlight; a fixed number is autoscaling.min = autoscaling.max." -}}
{{- end -}}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  {{- include "serving.metadata" . | nindent 2 }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ include "serving.name" . | quote }}
  minReplicas: {{ int64 $scaling.min }}
  maxReplicas: {{ int64 $scaling.max }}
  metrics:
    {{- if $scaling.cpu.enabled }}
    - type: Resource
      resource:
        name: cpu
        target:
          type: Utilization
          averageUtilization: {{ int64 $scaling.cpu.utilization }}
    {{- end }}
    {{- if $scaling.inFlight.enabled }}
    - type: Pods
      pods:
        metric:
          name: api_requests_in_flight
        target:
          type: AverageValue
          averageValue: {{ toJson $scaling.inFlight.average | quote }}
    {{- end }}
  behavior:
    scaleDown:
      stabilizationWindowSeconds: {{ int64 $scaling.scaleDownSeconds }}
{{- end -}}

{{/* A pod that is not ready serves nobody and must not keep a node from being emptied. */}}
{{- define "serving.disruptionBudget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "serving.metadata" . | nindent 2 }}
spec:
  maxUnavailable: 1
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "serving.selector" . | nindent 6 }}
{{- end -}}
