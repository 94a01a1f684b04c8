{{/* What users and gateways reach. appProtocol tells a gateway that port 3001 speaks HTTP/2 without TLS. */}}
{{- define "serving.service" -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "serving.metadata" . | nindent 2 }}
spec:
  type: ClusterIP
  selector:
    {{- include "serving.selector" . | nindent 4 }}
  ports:
    - name: http
      port: 3000
      targetPort: http
      protocol: TCP
      appProtocol: http
    - name: grpc
      port: 3001
      targetPort: grpc
      protocol: TCP
      appProtocol: kubernetes.io/h2c
{{- end -}}
