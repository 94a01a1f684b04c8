{{/* A claim that outlives the release, since nobody makes the models in it again: metadata's own keys, and volume. */}}
{{- define "training.claim" -}}
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  {{- include "training.metadata" . | nindent 2 }}
  annotations:
    helm.sh/resource-policy: keep
spec:
  accessModes: [{{ .volume.accessMode }}]
  {{- with .volume.storageClassName }}
  storageClassName: {{ . | quote }}
  {{- end }}
  resources:
    requests:
      storage: {{ .volume.size | quote }}
{{- end -}}
