/** What users really have in their files, each shape once: all of it must decode without a finding. */
export const kubernetesIdioms = `
apiVersion: v1
kind: List
metadata: {resourceVersion: ""}
items:
- apiVersion: v1
  kind: Service
  metadata:
    name: from-the-api-server
    creationTimestamp: null
    uid: 0a1b2c3d-0000-4000-8000-000000000000
    resourceVersion: "123"
    generation: 3
    selfLink: /api/v1/namespaces/default/services/from-the-api-server
    finalizers: [service.kubernetes.io/load-balancer-cleanup]
    ownerReferences: [{apiVersion: v1, kind: Foo, name: bar, uid: x, controller: true}]
    managedFields: [{manager: kubectl, operation: Update, fieldsV1: {"f:spec": {}}}]
    annotations: {kubectl.kubernetes.io/last-applied-configuration: "{}"}
  spec:
    ports:
    - {name: tcp-db, port: 80, targetPort: web, nodePort: 30080, protocol: TCP}
    - {name: mongo, port: 27017}
    - {name: http, port: 8080, targetPort: 80, appProtocol: kubernetes.io/h2c}
    clusterIP: 10.96.1.2
    clusterIPs: [10.96.1.2]
    sessionAffinity: ClientIP
    sessionAffinityConfig: {clientIP: {timeoutSeconds: 10800}}
    internalTrafficPolicy: Cluster
    externalTrafficPolicy: Local
    allocateLoadBalancerNodePorts: true
    loadBalancerClass: example.com/internal
    healthCheckNodePort: 31000
    ipFamilies: [IPv4]
    ipFamilyPolicy: SingleStack
    trafficDistribution: PreferClose
    type: LoadBalancer
  status:
    loadBalancer: {ingress: [{ip: 203.0.113.1}]}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: everything
  creationTimestamp: null
spec:
  replicas: 2
  revisionHistoryLimit: 3
  minReadySeconds: 5
  progressDeadlineSeconds: 600
  paused: false
  strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 25%, maxUnavailable: 1}}
  selector: {matchLabels: {app: d}, matchExpressions: [{key: app, operator: In, values: [d]}]}
  template:
    metadata:
      creationTimestamp: null
      labels: {app: d, "app.kubernetes.io/name": d}
      annotations: {sidecar.istio.io/inject: "true", prometheus.io/scrape: "true"}
    spec:
      affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: []}}}
      tolerations: [{key: a, operator: Exists, effect: NoSchedule}]
      topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: DoNotSchedule}]
      nodeSelector: {kubernetes.io/os: linux}
      securityContext: {runAsNonRoot: true, fsGroup: 1000, seccompProfile: {type: RuntimeDefault}}
      imagePullSecrets: [{name: registry}]
      dnsPolicy: ClusterFirst
      dnsConfig: {options: [{name: ndots, value: "2"}]}
      hostAliases: [{ip: 127.0.0.1, hostnames: [a.local]}]
      priorityClassName: high
      enableServiceLinks: false
      shareProcessNamespace: true
      automountServiceAccountToken: true
      initContainers:
      - name: native-sidecar
        image: busybox
        restartPolicy: Always
        command: ["sh", "-c", "echo"]
      containers:
      - name: c
        image: registry.example.com/a/b@sha256:0000
        imagePullPolicy: Always
        workingDir: /app
        ports: [{containerPort: 80, name: web, protocol: TCP, hostPort: 8080}]
        resources: {limits: {cpu: 1, memory: 1Gi, nvidia.com/gpu: 1}, requests: {cpu: 500m, memory: 128Mi}}
        livenessProbe: {httpGet: {path: /healthz, port: web, httpHeaders: [{name: A, value: b}]}, initialDelaySeconds: 3}
        readinessProbe: {exec: {command: [cat, /tmp/healthy]}, periodSeconds: 5}
        startupProbe: {grpc: {port: 80}, failureThreshold: 30}
        lifecycle: {preStop: {exec: {command: [sleep, "5"]}}}
        envFrom: [{configMapRef: {name: x}}, {prefix: S_, secretRef: {name: y, optional: true}}]
        env:
        - {name: EMPTY, value: ""}
        - {name: NAMED, valueFrom: {fieldRef: {apiVersion: v1, fieldPath: metadata.name}}}
        - {name: CPU, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}
        - {name: KEY, valueFrom: {configMapKeyRef: {name: x, key: y, optional: true}}}
        volumeMounts:
        - {name: v, mountPath: /v}
        - {name: cm, mountPath: /c, readOnly: true, subPath: a}
        securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}, readOnlyRootFilesystem: true}
        terminationMessagePath: /dev/termination-log
        terminationMessagePolicy: File
        stdin: true
        tty: true
      volumes:
      - {name: v, emptyDir: {medium: Memory, sizeLimit: 10Mi}}
      - {name: cm, configMap: {name: x, defaultMode: 0644, items: [{key: a, path: b}]}}
      - {name: s, secret: {secretName: y}}
      - {name: p, projected: {sources: [{serviceAccountToken: {path: token, expirationSeconds: 3600}}]}}
      - {name: h, hostPath: {path: /var, type: Directory}}
      - {name: pvc, persistentVolumeClaim: {claimName: z}}
      terminationGracePeriodSeconds: 30
status: {replicas: 2, conditions: []}
---
apiVersion: v1
kind: Namespace
metadata: {name: prod, labels: {istio-injection: enabled}}
spec: {finalizers: [kubernetes]}
status: {phase: Active}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: sa}
automountServiceAccountToken: false
imagePullSecrets: [{name: registry}]
---
`;

/** Istio's API in its older and newer spellings. */
export const istioIdioms = `
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata: {name: durations}
spec:
  hosts: [a.example.com]
  http:
  - fault: {delay: {percent: 10, fixedDelay: 5s}}
    match: [{uri: {prefix: /old}}]
    route: [{destination: {host: b}}]
    mirror: {host: c}
    mirrorPercentage: {value: 1.5}
  - timeout: 0.5s
    retries: {attempts: 3, perTryTimeout: 1h5m}
    fault: {delay: {fixedDelay: 7s, percentage: {value: 100}}, abort: {httpStatus: 500, percentage: {value: 0.1}}}
    route: [{destination: {host: b, port: {number: 80}}, weight: 100}]
status: {observedGeneration: "1", conditions: [], validationMessages: []}
---
apiVersion: networking.istio.io/v1beta1
kind: DestinationRule
metadata: {name: anchors, labels: &labels {team: a}}
spec:
  host: reviews
  trafficPolicy: &policy
    loadBalancer: {simple: LEAST_CONN}
  subsets:
  - name: v1
    labels: *labels
    trafficPolicy:
      <<: *policy
      connectionPool: {tcp: {maxConnections: 1}}
---
apiVersion: security.istio.io/v1beta1
kind: PeerAuthentication
metadata: {name: default, namespace: istio-system}
spec:
  mtls:
    mode: PERMISSIVE
---
apiVersion: networking.istio.io/v1beta1
kind: Sidecar
metadata: {name: default}
spec: {egress: [{hosts: ["./*", "istio-system/*"]}]}
`;
